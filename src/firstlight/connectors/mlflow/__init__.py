"""Networks from a model registry that speaks MLflow's REST protocol."""
