"""Addresses: what of the names that users give is one, and how much of it may be seen.

The query of an address may be a signature (SAS), and before the host may stand `user:password@`: neither is
shown anywhere.
"""

import re
from urllib.parse import quote

_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{1,30}::?){1,8}//")
"""Bounded, so that looking for one in a long text stays quick."""
_ANYWHERE = re.compile(_ADDRESS.pattern + r"[^\s“”]*")
_HARMLESS = re.compile(r"(?:snapshot|versionid)=[A-Za-z0-9%:.+_-]*", re.IGNORECASE)
"""Parameters that say which version is meant, and nothing else."""
_USER = re.compile(r"//[^/]*@")
_HOST = re.compile(r"//[^/?#@:]*(?::[0-9]{0,5})?(?:[/?#]|[:,;.]*$)|//\[")
"""An authority without a user: an `@` further on is part of a path."""
_WITH_USER = re.compile(r"//[^/?#]*@")
_CONTAINER = re.compile(r"//[^/:@]*@")
"""Azure's own way to write an address: `abfss://container@account…/blob`."""
AZURE = ("az", "abfs", "abfss")


def is_address(name: str) -> bool:
    """Whether a name is an address, such as `https://…`, and no path."""
    return _ADDRESS.match(name) is not None


def scheme_of(address: str) -> str:
    """What stands before the colon, in lower case."""
    return address.partition(":")[0].lower()


def is_prefix(address: str) -> bool:
    """Whether an address names a folder, bucket or container: it ends in a slash, or with the host."""
    folder, slash, name = _split(address)[0].partition("://")[2].rpartition("/")
    return not name or not (folder or slash)


def shown(name: str) -> str:
    """What of an address may be seen by anybody; a path is itself."""
    if not is_address(name):
        return name
    at = name.index("//")
    if scheme_of(name) not in AZURE and not (_HOST.match(name, at) or _WITH_USER.match(name, at)):
        # No address: a password that is not encoded may hold what ends an authority.
        return f"{name[:at]}//…"
    place, parameters = _split(name)
    if scheme_of(name) not in AZURE or not _CONTAINER.match(place[place.index("//") :]):
        place = _USER.sub("//", place)
    harmless = [each for each in parameters if _HARMLESS.fullmatch(each)]
    return f"{place}?{'&'.join(harmless)}" if harmless else place


def hidden(text: str) -> str:
    """A text of any origin, with no more of the addresses in it than may be seen."""
    return _ANYWHERE.sub(lambda match: shown(match[0]), text)


def beside(address: str, name: str) -> str | None:
    """The address of a file of another name in the same folder, or None where that has none.

    What says which version is meant of the one says nothing of the other.
    """
    place, parameters = _split(address)
    if scheme_of(address) in ("http", "https"):
        name = quote(name, safe="")
    elif set(name) & set("?#%"):
        return None  # nobody knows what the service would take it for
    folder, slash, _ = place.rpartition("/")
    if folder.endswith("/"):
        return None  # the last one is of `://`
    kept = [each for each in parameters if not _HARMLESS.fullmatch(each)]
    return f"{folder}{slash}{name}{'?' if kept else ''}{'&'.join(kept)}"


def _split(address: str) -> tuple[str, list[str]]:
    """What stands before the query, and the parameters in it."""
    place, _, query = address.partition("#")[0].partition("?")
    return place, [each for each in query.split("&") if each]
