"""From a name and a shape to a Hugging Face model, and its logits at predicted positions."""
