package api

import (
	"encoding/json"
	"strings"
)

// MaxMessages is the messages of a conversation that a guard judges.
const MaxMessages = 64

// ChatRequest asks a guard for its verdict on the last message of a conversation, in the form of OpenAI's chat completions.
// What else that API has says how text is sampled; a verdict is not sampled, so it changes nothing.
type ChatRequest struct {
	Model    string        `json:"model"` // the guard's name
	Messages []ChatMessage `json:"messages"`
	N        *int          `json:"n,omitempty"`        // 1
	Stream   bool          `json:"stream,omitempty"`   // false
	Logprobs bool          `json:"logprobs,omitempty"` // false
}

// ChatMessage is what a user or an assistant said.
type ChatMessage struct {
	Role    string          `json:"role"`    // user or assistant
	Content string          `json:"-"`       // as text
	Raw     json.RawMessage `json:"content"` // the same on the wire: a string, or a list of text parts
}

// ChatCompletion is a verdict.
type ChatCompletion struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`  // chat.completion
	Created     int64        `json:"created"` // seconds of Unix time
	Model       string       `json:"model"`
	Fingerprint string       `json:"system_fingerprint"` // the guard's name and version: with equal ones, equal requests have equal verdicts
	Choices     []ChatChoice `json:"choices"`            // one
	Usage       ChatUsage    `json:"usage"`
}

// ChatChoice is the verdict itself.
type ChatChoice struct {
	Index        int       `json:"index"`
	Message      ChatReply `json:"message"`
	FinishReason string    `json:"finish_reason"` // stop
	Confidence   float64   `json:"confidence"`    // the model's probability of the whole verdict among all that it may give, 0 to 1
}

// ChatReply is what the guard says: safe, or unsafe with the categories on a second line.
type ChatReply struct {
	Role    string `json:"role"` // assistant
	Content string `json:"content"`
}

// ChatUsage counts tokens.
type ChatUsage struct {
	Prompt     int `json:"prompt_tokens"` // with the guard's own, which are decoded once and not for each request
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// ModelsResponse lists the guards, in the form of OpenAI's models.
type ModelsResponse struct {
	Object string      `json:"object"` // list
	Data   []ChatModel `json:"data"`
}

// ChatModel is a guard.
type ChatModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`  // model
	Created int64  `json:"created"` // when it was loaded, in seconds of Unix time
	OwnedBy string `json:"owned_by"`
}

// ChatError is a failure in the form of OpenAI's API.
type ChatError struct {
	Message string `json:"message"`
	Type    string `json:"type"`            // invalid_request_error, rate_limit_error or server_error
	Param   string `json:"param,omitempty"` // the field that is wrong
	Code    string `json:"code"`            // context_length_exceeded, model_not_found, or our error_code in lower case
}

// ChatErrorf is Errorf with what only OpenAI's form has: the field that is wrong, and a code of that API, "" for our own.
func ChatErrorf(code Code, param, theirs, format string, args ...any) *Error {
	e := Errorf(code, format, args...)
	e.Chat = &ChatError{Param: param, Code: theirs}
	return e
}

// AsChat is an error in both forms.
func AsChat(err error) *Error {
	e := *AsError(err)
	out := ChatError{}
	if e.Chat != nil {
		out = *e.Chat
	}
	out.Message, out.Type = e.Message, "invalid_request_error"
	switch status := e.Code.Status(); {
	case status >= 500 || e.Code == RequestTimeout:
		out.Type = "server_error"
	case e.Code == Overloaded:
		out.Type = "rate_limit_error"
	}
	if out.Code == "" {
		out.Code = strings.ToLower(string(e.Code))
	}
	e.Chat = &out
	return &e
}

// ParseChatRequest reads a request body. Fields that are not known are passed over, as clients of OpenAI's API have many.
func ParseChatRequest(body []byte) (req ChatRequest, err error) {
	if err := sound(MaxBody, body); err != nil {
		return req, err
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return req, badJSON(err)
	}
	return req, req.check()
}

func (r *ChatRequest) check() error {
	wrong := func(param, format string, args ...any) error {
		return ChatErrorf(InvalidRequest, param, "", format, args...)
	}
	switch {
	case r.Model == "":
		return wrong("model", "model is missing; GET /v1/models lists those that are here")
	case r.Stream:
		return wrong("stream", "stream must be false; a verdict comes as a whole")
	case r.Logprobs:
		return wrong("logprobs", "logprobs must be false; choices[0].confidence is the verdict's probability")
	case r.N != nil && *r.N != 1:
		return wrong("n", "n must be 1; all verdicts on a conversation are the same")
	case len(r.Messages) < 1 || len(r.Messages) > MaxMessages:
		return wrong("messages", "messages has %d entries; send 1 to %d", len(r.Messages), MaxMessages)
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		if want := [...]string{"user", "assistant"}[i%2]; m.Role != want {
			return wrong("messages", "messages[%d].role must be %s: user and assistant take turns, the user begins, and the last message is judged", i, want)
		}
		if err := m.read(); err != "" {
			return wrong("messages", "messages[%d].content %s", i, err)
		}
	}
	return nil
}

// read makes text of the content, or says what is wrong with it.
func (m *ChatMessage) read() string {
	if json.Unmarshal(m.Raw, &m.Content) != nil {
		var parts []struct{ Type, Text string }
		if json.Unmarshal(m.Raw, &parts) != nil {
			return "must be a string, or a list of text parts"
		}
		var texts []string
		for _, p := range parts {
			if p.Type != "text" {
				return "has a part that is no text; guards here read nothing else"
			}
			texts = append(texts, p.Text)
		}
		m.Content = strings.Join(texts, "\n")
	}
	switch m.Content = strings.TrimSpace(m.Content); {
	case m.Content == "":
		return "is empty"
	case strings.IndexByte(m.Content, 0) >= 0:
		return "has a NUL byte; remove it"
	}
	return ""
}
