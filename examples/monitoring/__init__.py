"""An application that Prometheus can read, with alert rules and a dashboard."""
