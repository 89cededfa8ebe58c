"""TensorRT: graphs become engines, engines are proven before they are trusted, and run."""
