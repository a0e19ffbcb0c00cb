"""HTTP: control/ is Noria's own REST API and serves the pages; inference/ answers predictions. Neither imports the other."""
