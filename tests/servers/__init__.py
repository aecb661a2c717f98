"""Real servers on loopback, for tests of images behind addresses: nothing leaves the machine.

| module | what it runs |
| --- | --- |
| `web` | an HTTP server in this process that serves files well, and as badly as a test says |
| `azure` | Azurite, Microsoft's emulator of Azure Storage (npm), in a process of its own |
| `s3` | moto's S3, in a process of its own |
| `authority` | a certificate authority that nobody but these tests trusts |
| `fixtures` | all of them as pytest fixtures: `web`, `serve`, `azurite`, `azurite_tls`, `s3`, `authority` |

Ports are free ones. The processes end when their standard input does, so none outlives the test run, even
one that is killed.
"""
