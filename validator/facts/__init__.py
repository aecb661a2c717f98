"""Facts: typed statements about an image, each a function of other facts.

The two tables say which there are: about the image, and about one installation of Windows on it.
"""

from collections.abc import Callable
from typing import Any

from validator.facts import image, setup, volume

IMAGE_FACTS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        image.disk,
        image.container,
        image.parent_differs,
        image.partition_table,
        image.volumes,
        image.found_installations,
        image.installations,
        volume.ntfs_volumes,
        volume.hibernation_files,
        volume.volume_states,
    )
}
INSTALLATION_FACTS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        volume.hibernation,
        image.file_system,
        image.installation,
        volume.volume_state,
        setup.software_hive,
        setup.system_hive,
        setup.image_state,
        setup.servicing_state,
        setup.state_ini,
        setup.pending_setup,
        setup.setup_status,
        setup.sysprep_tag,
        setup.sysprep_history,
        setup.first_boot,
        setup.product,
        setup.architecture,
        setup.setup_state,
    )
}
