"""A gateway that speaks OpenAI's protocol and routes: deny by default, nothing lost, quick."""
