"""One module per framework, each a little sugar over `limpet.asgi`. Nothing is imported until you name one."""
