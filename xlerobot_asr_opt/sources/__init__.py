"""Where audio comes from: files, the microphone, bags."""
