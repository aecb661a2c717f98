# Windows Server built by Hyper-V, for an upload to Azure. Packer runs on Windows here, so that inline commands
# are for cmd.
#
#   packer init ci/packer/hyperv
#   packer build -var iso_url=... -var iso_checksum=... -var winrm_password=... ci/packer/hyperv

variable "iso_url" {
  type = string
}

variable "iso_checksum" {
  type = string
}

variable "winrm_password" {
  type      = string
  sensitive = true
}

variable "upload" {
  type        = string
  description = "The command that converts the disk to a fixed VHD and uploads it."
  default     = "echo here the image would be uploaded"
}

source "hyperv-iso" "windows" {
  iso_url          = var.iso_url
  iso_checksum     = var.iso_checksum
  generation       = 2
  cpus             = 2
  memory           = 4096
  disk_size        = 130048
  switch_name      = "Default Switch"
  cd_files         = ["autounattend.xml"]
  boot_command     = ["a<wait>a<wait>a"]
  communicator     = "winrm"
  winrm_username   = "Administrator"
  winrm_password   = var.winrm_password
  winrm_timeout    = "4h"
  output_directory = "output-windows"

  # The last thing that happens in the machine: sysprep shuts it down when it has generalized it. If sysprep
  # fails, the machine stays on until the time is over, and the build fails.
  shutdown_command = "%SystemRoot%\\System32\\Sysprep\\sysprep.exe /generalize /oobe /shutdown /quiet /mode:vm"
  shutdown_timeout = "1h"
}

build {
  sources = ["source.hyperv-iso.windows"]

  # One sequence: a step runs only if all before it succeeded.
  post-processors {
    # Stands first, so that the export is kept when the gate fails, and says what was built.
    post-processor "manifest" {
      output = "packer-manifest.json"
    }

    # The gate. Of all files of the export it picks the disks, and of those the one with Windows.
    post-processor "shell-local" {
      inline = [
        "image-validator check --packer-manifest packer-manifest.json --will-convert --generation 2 --report html --report junit",
      ]
    }

    # Only what has passed comes here.
    post-processor "shell-local" {
      inline = [var.upload]
    }
  }
}
