# Packer 1.7 and later: `packer init ci/packer/qemu` installs the plug-in. Older ones have the builder built in
# and do not know this block.

packer {
  required_version = ">= 1.7.0"

  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.0.0"
    }
  }
}
