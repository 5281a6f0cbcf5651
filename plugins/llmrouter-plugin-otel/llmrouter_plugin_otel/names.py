"""Every name that is sent: those of OpenTelemetry's conventions, and our own under `llmrouter`.

The conventions for generative AI are still in development; a name that changes changes here.
"""

SCOPE = "llmrouter"
"""The instrumentation scope: who says so."""

SOLVE = "llmrouter.solve"
CHAT = "chat"

# Of OpenTelemetry: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_CHOICES = "gen_ai.request.choice.count"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STOP = "gen_ai.request.stop_sequences"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
RESPONSE_FINISH = "gen_ai.response.finish_reasons"
RESPONSE_FIRST = "gen_ai.response.time_to_first_chunk"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
ERROR_TYPE = "error.type"
STATUS = "http.response.status_code"

# Ours, of any span.
ABANDONED = "llmrouter.abandoned"
COST = "llmrouter.cost"
MODEL = "llmrouter.model"

# Ours, of an answer. Its tokens are not `gen_ai.usage`: a sum over spans would count them twice.
CALLS = "llmrouter.calls"
DECISION_MODEL = "llmrouter.decision.model"
DECISION_RANKING = "llmrouter.decision.ranking"
DECISION_REASON = "llmrouter.decision.reason"
DECISION_SCORE = "llmrouter.decision.score."
FINISH = "llmrouter.finish_reason"
TOTAL_INPUT_TOKENS = "llmrouter.usage.input_tokens"
TOTAL_OUTPUT_TOKENS = "llmrouter.usage.output_tokens"
