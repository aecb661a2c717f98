# The recipe without a hypervisor: Packer's file builder copies a disk and stands for the build.
#
#   packer build -var source=sample_images/undeployable.vhdx ci/packer/file.pkr.hcl

variable "source" {
  type        = string
  description = "The disk that is \"built\"."
}

variable "target" {
  type    = string
  default = "output-windows/windows.vhdx"
}

variable "check_options" {
  type    = string
  default = "--will-convert"
}

variable "upload" {
  type        = string
  description = "The command that uploads the image."
  default     = "echo here the image would be uploaded"
}

source "file" "windows" {
  source = var.source
  target = var.target
}

build {
  sources = ["source.file.windows"]

  # One sequence: a step runs only if all before it succeeded.
  post-processors {
    # Stands first, so that the image is kept when the gate fails, and says what was built.
    post-processor "manifest" {
      output = "packer-manifest.json"
    }

    # The gate.
    post-processor "shell-local" {
      inline = ["image-validator check --packer-manifest packer-manifest.json ${var.check_options}"]
    }

    # Only what has passed comes here.
    post-processor "shell-local" {
      inline = [var.upload]
    }
  }
}
