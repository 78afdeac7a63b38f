package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseChatRequest(t *testing.T) {
	req, err := ParseChatRequest([]byte(`{"model":"g","messages":[{"role":"user","content":" hi\n"},{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"x"}],
		"n":1,"stream":false,"logprobs":null,"temperature":0.7,"max_tokens":5,"seed":1,"user":"x","tools":[]}`))
	if err != nil || req.Messages[0].Content != "hi" || req.Messages[1].Content != "a\nb" {
		t.Errorf("%+v %v", req, err)
	}
	user := `{"role":"user","content":"canary"}`
	for body, want := range map[string]string{
		``: "the body is empty", `[`: "not valid JSON", `{}x`: "not valid JSON", `[]`: "wrong type", "\"\xff\"": "UTF-8", strings.Repeat("[", MaxDepth+1): "nests deeper",
		`{"messages":[` + user + `]}`: "model is missing",
		`{"model":"g"}`:               "messages has 0 entries; send 1 to 64",
		`{"model":"g","messages":[` + strings.Repeat(user+",", MaxMessages) + user + `]}`: "messages has 65 entries",
		`{"model":"g","messages":[` + user + `],"stream":true}`:                           "stream must be false",
		`{"model":"g","messages":[` + user + `],"n":2}`:                                   "n must be 1",
		`{"model":"g","messages":[` + user + `],"logprobs":true}`:                         "logprobs must be false",
		`{"model":"g","messages":[` + user + `,` + user + `]}`:                            "messages[1].role must be assistant",
		`{"model":"g","messages":[{"role":"system","content":"canary"}]}`:                 "messages[0].role must be user",
		`{"model":"g","messages":[{"role":"canary","content":"x"}]}`:                      "messages[0].role must be user",
		`{"model":"g","messages":[{"role":"user"}]}`:                                      "messages[0].content must be a string",
		`{"model":"g","messages":[{"role":"user","content":null}]}`:                       "messages[0].content is empty",
		`{"model":"g","messages":[{"role":"user","content":7}]}`:                          "messages[0].content must be a string",
		`{"model":"g","messages":[{"role":"user","content":[]}]}`:                         "messages[0].content is empty",
		`{"model":"g","messages":[{"role":"user","content":" \n"}]}`:                      "messages[0].content is empty",
		`{"model":"g","messages":[{"role":"user","content":"a\u0000"}]}`:                  "messages[0].content has a NUL byte",
		`{"model":"g","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`:     "messages[0].content has a part that is no text",
		`{"model":"g","messages":"` + strings.Repeat("canary", MaxBody/6) + `"}`:          "at most 65536",
	} {
		_, err := ParseChatRequest([]byte(body))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%.80s: %v, want %q", body, err, want)
		}
	}
}

// An error has both forms, and what a client of either wants to know.
func TestChatError(t *testing.T) {
	f := func(err error, status int, want string) {
		t.Helper()
		e := AsChat(err)
		raw, bad := json.Marshal(e.Chat)
		if bad != nil || e.Code.Status() != status || e.Chat.Message != e.Message || !strings.HasSuffix(string(raw), want+"}") {
			t.Errorf("%d %s, want %s", e.Code.Status(), raw, want)
		}
	}
	f(Errorf(InvalidRequest, "x"), 400, `"type":"invalid_request_error","code":"invalid_request"`)
	f(ChatErrorf(NotFound, "model", "model_not_found", "x"), 404, `"type":"invalid_request_error","param":"model","code":"model_not_found"`)
	f(fmt.Errorf("why: %w", Errorf(Overloaded, "x")), 429, `"type":"rate_limit_error","code":"overloaded"`)
	f(context.DeadlineExceeded, 408, `"type":"server_error","code":"request_timeout"`)
	f(errors.New("secret"), 500, `"type":"server_error","code":"internal"`)
}

func FuzzParseChatRequest(f *testing.F) {
	for _, s := range []string{`{"model":"g","messages":[{"role":"user","content":"a"}]}`, `{"model":"g","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}`, "{", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := ParseChatRequest(body)
		if err != nil {
			return
		}
		for _, m := range req.Messages {
			if req.Model == "" || m.Content == "" || strings.TrimSpace(m.Content) != m.Content || strings.IndexByte(m.Content, 0) >= 0 {
				t.Errorf("taken: %+v", req)
			}
		}
	})
}
