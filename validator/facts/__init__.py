"""Facts: typed statements about an image, each a function of other facts.

The two tables say which there are: about the image, and about one installation of Windows on it. They hold
names, since most runs need few of them: the module of a fact is imported when the fact is first asked for.
"""

import importlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any


class Table(MutableMapping[str, Callable[..., Any]]):
    """Functions by their names, each imported when it is asked for.

    Args:
        places: where they are, as `module.function` in this package.
    """

    def __init__(self, *places: str) -> None:
        self._places: dict[str, str | Callable[..., Any]] = {
            place.rpartition(".")[2]: place for place in places
        }

    def __getitem__(self, name: str) -> Callable[..., Any]:
        place = self._places[name]
        if not isinstance(place, str):
            return place
        module = place.rpartition(".")[0]
        function: Callable[..., Any] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        self._places[name] = function
        return function

    def __setitem__(self, name: str, function: Callable[..., Any]) -> None:
        self._places[name] = function

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


IMAGE_FACTS = Table(
    "image.disk",
    "image.container",
    "image.parent_differs",
    "image.partition_table",
    "image.volumes",
    "image.found_installations",
    "image.installations",
    "layout.file_length",
    "layout.container_recoveries",
    "layout.generation",
    "layout.data_disk",
    "boot.system_volume",
    "boot.boot_sectors",
    "boot.fallback_loaders",
    "boot.boot_store",
    "boot.default_installation",
    "volume.ntfs_volumes",
    "volume.hibernation_files",
    "volume.volume_states",
)
INSTALLATION_FACTS = Table(
    "volume.hibernation",
    "image.file_system",
    "image.installation",
    "boot.default_start",
    "volume.volume_state",
    "setup.software_hive",
    "setup.system_hive",
    "services.control_set",
    "services.services",
    "drivers.windows_build",
    "drivers.kernel_files",
    "drivers.boot_driver_files",
    "drivers.virtual_disk_drivers",
    "drivers.other_disk_drivers",
    "drivers.network_drivers",
    "drivers.nvme_storage_driver",
    "drivers.class_filters",
    "drivers.legacy_host_ids",
    "servicing.pending_operations",
    "servicing.package_servicing",
    "servicing.component_store",
    "setup.image_state",
    "setup.servicing_state",
    "setup.state_ini",
    "setup.pending_setup",
    "setup.setup_status",
    "setup.sysprep_tag",
    "setup.sysprep_history",
    "setup.first_boot",
    "disk_answers.disk_answers",
    "diagnosis.diagnosis",
    "sysprep.skip_rearm",
    "sysprep.sysprep_mode",
    "sysprep.sysprep_providers",
    "sysprep.hive_recoveries",
    "reachability.remote_desktop",
    "reachability.rdp_listener",
    "reachability.firewall",
    "reachability.core_services",
    "reachability.persistent_routes",
    "reachability.static_addresses",
    "reachability.winhttp_proxy",
    "reachability.network_providers",
    "reachability.san_policy",
    "reachability.temp_folders",
    "reachability.security_hive",
    "reachability.logon_rights",
    "provisioning.cdrom_driver",
    "provisioning.removable_storage_policy",
    "provisioning.answer_files",
    "provisioning.other_xml_files",
    "provisioning.setup_scripts",
    "provisioning.agent_services",
    "provisioning.extension_folder",
    "provisioning.foreign_agents",
    "system.edition",
    "system.membership",
    "system.unsupported_roles",
    "system.recommended",
    "system.user_packages",
    "system.prevent_device_encryption",
    "leftovers.automatic_sign_in",
    "leftovers.remote_management",
    "leftovers.sam_hive",
    "leftovers.build_accounts",
    "leftovers.administrator",
    "leftovers.build_files",
    "leftovers.ssh_host_keys",
    "leftovers.cloud_identities",
    "setup.product",
    "setup.architecture",
    "setup.setup_state",
    "registry.registry",
    "target.target",
)
