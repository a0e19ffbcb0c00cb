"""The pages: built from web/ into static/, served as files. They speak with server/control by HTTP only."""
