"""What a store keeps and what travels: ids and tokens, records and their payloads, marks, forward records."""
