"""What the user asks about an image: it decides what a check expects, and no fact."""

from typing import NamedTuple


class Question(NamedTuple):
    """The profile, and what the user says of the destination."""

    profile: str
    generation: int | None = None
    """1 (BIOS) or 2 (UEFI) where the user says which; None leaves it to the disk."""
    will_convert: bool = False
    """Whether the pipeline converts the container afterwards."""
    nvme: bool = False
    """Whether the machine's disks will be NVMe."""
    input_format: str | None = None
    """What the image is read as, whatever its content says; None leaves it to the content."""

    @property
    def azure(self) -> bool:
        """Whether it goes to Azure."""
        return self.profile.startswith("azure-")

    @property
    def specialized(self) -> bool:
        """Whether the disk is to go on being the one machine that it is."""
        return self.profile.endswith("-specialized")
