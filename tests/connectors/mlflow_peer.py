"""Run by MLflow's own Python: log a network as MLflow does, and once more by hand; say which versions these became."""

# pyright: reportMissingImports=false

import sys

import mlflow
import onnx

address, path, name = sys.argv[1:]
mlflow.set_tracking_uri(address)
with mlflow.start_run():
    made = mlflow.onnx.log_model(onnx.load(path), name="model", registered_model_name=name)
with mlflow.start_run() as run:
    mlflow.log_artifact(path, "net")
    source = f"{run.info.artifact_uri}/net"
    client = mlflow.MlflowClient()
    by_hand = client.create_model_version(name, source, run.info.run_id, description="by hand", tags={"beamline": "3"})
sys.stdout.write(f"versions {made.registered_model_version} {by_hand.version}\n")
