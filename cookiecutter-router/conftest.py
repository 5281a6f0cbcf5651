"""The template's own tests are not tests until they are rendered."""

collect_ignore_glob = ["llmrouter-plugin-*", "templates"]
