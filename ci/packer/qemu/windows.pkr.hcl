# Windows Server built by QEMU, converted to the fixed VHD that Azure takes, judged, uploaded.
#
#   packer init ci/packer/qemu
#   packer build -var iso_url=... -var iso_checksum=... -var winrm_password=... ci/packer/qemu

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
  description = "The command that uploads output-windows/windows.vhd."
  default     = "echo here the image would be uploaded"
}

source "qemu" "windows" {
  iso_url          = var.iso_url
  iso_checksum     = var.iso_checksum
  accelerator      = "kvm"
  cpus             = 2
  memory           = 4096
  disk_size        = "127G"
  disk_interface   = "ide"
  net_device       = "e1000"
  format           = "raw"
  floppy_files     = ["autounattend.xml"]
  communicator     = "winrm"
  winrm_username   = "Administrator"
  winrm_password   = var.winrm_password
  winrm_timeout    = "4h"
  output_directory = "output-windows"
  vm_name          = "windows.raw"

  # The last thing that happens in the machine: sysprep shuts it down when it has generalized it.
  shutdown_command = "%SystemRoot%\\System32\\Sysprep\\sysprep.exe /generalize /oobe /shutdown /quiet /mode:vm"
  shutdown_timeout = "1h"
}

build {
  sources = ["source.qemu.windows"]

  # One sequence: a step runs only if all before it succeeded.
  post-processors {
    # Stands first and succeeds, so that the disk is kept when the gate fails.
    post-processor "shell-local" {
      inline = [
        "qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on output-windows/windows.raw output-windows/windows.vhd",
      ]
    }

    # The conversion made a file that Packer does not know of: from here on it is the artifact.
    # Never with keep_input_artifact = false, which deletes what the new list names as well.
    post-processor "artifice" {
      files = ["output-windows/windows.vhd"]
    }

    # Behind the last step that changes the artifact.
    post-processor "manifest" {
      output = "packer-manifest.json"
    }

    # The gate.
    post-processor "shell-local" {
      inline = ["image-validator check --packer-manifest packer-manifest.json --report html --report junit"]
    }

    # Only what has passed comes here.
    post-processor "shell-local" {
      inline = [var.upload]
    }
  }
}
