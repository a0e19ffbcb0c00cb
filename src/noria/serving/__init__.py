"""A deployment answers: which variant, with what, and the record of it. Speaking protocols is server/inference; opening bundles is packaging/."""
