"""The MLflow REST protocol, translated: routing, wire and errors are general, then one file per noun. Nothing else in Noria knows MLflow's words."""
