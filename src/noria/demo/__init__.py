"""The flights year: a project that uses Noria as anybody would, on real data, in accelerated time. Called by `noria demo`."""
