"""Back end `huggingface`."""
