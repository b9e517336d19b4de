"""One module per framework, each a little sugar over `holdfast.asgi`. Nothing is imported until you name one."""
