"""Fill hive files in place through hivex; run by an interpreter that has its binding.

Standard input is JSON: a list of ``{"file": path, "steps": [...]}``. A step is one of

* ``["set", key, {name: [type, hexadecimal data] or null}]``: make the key if need be, set these
  values and leave the others; null removes a value;
* ``["remove", key]``: remove the key and all below it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import hivex  # type: ignore[import-not-found, unused-ignore]


def find(hive: Any, path: str, create: bool = False) -> Any:
    """The node of the key at ``path``, or None."""
    node = hive.root()
    for name in filter(None, path.split("\\")):
        child = hive.node_get_child(node, name)
        if child is None:
            if not create:
                return None
            child = hive.node_add_child(node, name)
        node = child
    return node


def set_values(hive: Any, path: str, changes: dict[str, Any]) -> None:
    """Set values; hivex can only replace all of a key, so the others are read and put back."""
    node = find(hive, path, create=True)
    values = {}
    for value in hive.node_values(node):
        kind, data = hive.value_value(value)
        name = hive.value_key(value)
        values[name.casefold()] = {"key": name, "t": kind, "value": data}
    for name, stored in changes.items():
        if stored is None:
            values.pop(name.casefold(), None)
        else:
            kind, data = stored
            values[name.casefold()] = {"key": name, "t": kind, "value": bytes.fromhex(data)}
    hive.node_set_values(node, list(values.values()))


def remove(hive: Any, path: str) -> None:
    """Remove a key, if it is there; the root stays."""
    node = find(hive, path)
    if node is not None and node != hive.root():
        hive.node_delete_child(node)


def main() -> None:
    """Do what standard input says."""
    actions: dict[str, Any] = {"set": set_values, "remove": remove}
    for job in json.load(sys.stdin):
        hive = hivex.Hivex(job["file"], write=True)
        for action, *arguments in job["steps"]:
            actions[action](hive, *arguments)
        hive.commit(None)


if __name__ == "__main__":
    main()
