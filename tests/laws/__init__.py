"""What limpet promises its users, each promise tried through HTTP and on every store on which it could be broken."""
