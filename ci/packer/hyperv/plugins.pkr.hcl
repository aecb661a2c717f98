# Packer 1.7 and later: `packer init ci/packer/hyperv` installs the plug-in. Older ones have the builder built in
# and do not know this block.

packer {
  required_version = ">= 1.7.0"

  required_plugins {
    hyperv = {
      source  = "github.com/hashicorp/hyperv"
      version = ">= 1.1.0"
    }
  }
}
