"""What several tests need: pictures, servers, a browser, the notebook."""
