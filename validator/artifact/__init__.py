"""Images as builds leave them: in an archive, or compressed. What lies inside is judged as if it lay bare.

What can be read in place is (a stored member of a ZIP, a member of a tar archive); the rest is unpacked, once
and whole, to a temporary file without a name. Nothing is written by the name of a member. Decoders are the
standard library's; what holds an archive together is read by our own code, since `zipfile` and `tarfile`
are made to get out what they can: they trust one of two headers, and take damage for the end.
"""
