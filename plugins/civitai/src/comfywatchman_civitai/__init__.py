"""Back end `civitai`."""
