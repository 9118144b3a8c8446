"""Azure Machine Learning on this machine, for tests: real TLS, real blobs (Azurite), jobs that really run.

The program under test is the real one with the real SDK. It is told nothing but a proxy and a certificate, as in many
schools; everything it sends to Azure's addresses arrives here. `cloud` holds it all together.
"""

from azure_wire.cloud import Cloud, running
from azure_wire.wire import Fault

__all__ = ["Cloud", "Fault", "running"]
