"""Other protocols, translated to chat completions and back.

Each of `messages` (Anthropic's), `responses` (OpenAI's newer one) and `completions` (its oldest)
has the same four names:

    payload_of(body)                       the chat payload of a request
    answer_of(completion, body, …)         the answer that a whole chat completion is
    Stream(body, …)                        the answer, translated chunk by chunk: `feed`, `end`
    error_of(error, status=…)              the body of a refusal

Nothing here sends or waits. What a protocol has and chat completions have not is either passed
through as it came, so that a provider who knows it takes it, or refused by a sentence; the notes
of each module say which.
"""
