"""Run by a Python with Azure's plugin for MLflow: whom does an address reach, and what does a registry give. Writes JSON.

The plugin has no server here: an MLflow tracking server stands in for it behind the same client.
"""

# pyright: reportMissingImports=false

import json
import sys

address, name, out, *folders = sys.argv[1:]
sys.path += folders  # behind its own packages

from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry  # noqa: E402

from firstlight.connectors.mlflow.azure import AzureRegistry  # noqa: E402

schemes = ModelRegistryStoreRegistry()
schemes.register_entrypoints()
plugin = schemes.get_store_builder("azureml://west.api.azureml.ms/mlflow/v1.0/subscriptions/s").__module__
registry = AzureRegistry("azureml://west.api.azureml.ms/mlflow/v1.0/subscriptions/s")
registry.address = address
known = registry.versions()
found = registry.find(name)
with open(out, "wb") as file:
    file.write(registry.fetch(registry.find(name, 1)))
sys.stdout.write(
    json.dumps({"plugin": plugin, "known": [f"{one.name}_v{one.version}" for one in known], "tags": found.tags})
)
