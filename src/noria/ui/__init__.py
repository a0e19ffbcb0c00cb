"""The built pages. web/ holds their source; they talk to server/control by HTTP only, so this package serves files and knows nothing else."""
