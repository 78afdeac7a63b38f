package injection

import "strings"

// delimiter is a mark by which a chat template tells who speaks; found in content, somebody pretends to be another.
type delimiter struct {
	text  string
	score float64
	line  bool // only at the beginning of a line
	label string
}

const tools = "TOOL_ABUSE"

var delimiters = byFirst([]delimiter{
	{"<|im_start|>system", 0.95, false, ""}, {"<|im_start|>", 0.85, false, ""}, {"<|im_end|>", 0.85, false, ""}, {"<|im_sep|>", 0.85, false, ""},
	{"<|system|>", 0.85, false, ""}, {"<|user|>", 0.75, false, ""}, {"<|assistant|>", 0.8, false, ""}, {"<|endoftext|>", 0.75, false, ""},
	{"<|end|>", 0.6, false, ""}, {"<|eot_id|>", 0.85, false, ""}, {"<|start_header_id|>", 0.85, false, ""}, {"<|end_header_id|>", 0.85, false, ""},
	{"<|begin_of_text|>", 0.8, false, ""}, {"<|end_of_text|>", 0.8, false, ""}, {"<|endofprompt|>", 0.85, false, ""}, {"<|eom_id|>", 0.85, false, ""},
	{"<|channel|>", 0.8, false, ""}, {"<|message|>", 0.75, false, ""}, {"<|start|>system", 0.9, false, ""}, {"<|start|>", 0.7, false, ""},
	{"<|return|>", 0.7, false, ""}, {"<|call|>", 0.7, false, ""}, {"<|system", 0.7, false, ""}, {"<|eot|>", 0.8, false, ""},
	{"<|end_of_turn|>", 0.85, false, ""}, {"<|start_of_role|>", 0.85, false, ""}, {"<|python_tag|>", 0.85, false, ""}, {"<|prompter|>", 0.85, false, ""},
	{"<start_of_turn>", 0.85, false, ""}, {"<end_of_turn>", 0.85, false, ""}, {"[inst]", 0.8, false, ""}, {"[/inst]", 0.85, false, ""},
	{"<<sys>>", 0.9, false, ""}, {"<</sys>>", 0.9, false, ""}, {"[system_prompt]", 0.85, false, ""}, {"[/system_prompt]", 0.85, false, ""},
	{"[available_tools]", 0.8, false, ""}, {"[tool_calls]", 0.8, false, ""}, {"[tool_results]", 0.8, false, ""}, {"<|begin", 0.6, false, ""},
	{"<|user", 0.6, false, ""}, {"<|assistant", 0.65, false, ""}, {"<|tool", 0.7, false, ""},
	{"### system", 0.62, true, ""}, {"### instruction", 0.55, true, ""}, {"### assistant", 0.55, true, ""}, {"### human", 0.55, true, ""},
	{"### response", 0.5, true, ""}, {"### user:", 0.5, true, ""}, {"### end", 0.4, true, ""}, {"### new instruction", 0.72, true, ""},
	{"## system prompt", 0.5, true, ""}, {"system:", 0.45, true, ""}, {"system prompt:", 0.5, true, ""}, {"assistant:", 0.4, true, ""},
	{"human:", 0.4, true, ""}, {"[system]", 0.6, true, ""}, {"[assistant]", 0.5, true, ""}, {"[system message]", 0.7, false, ""},
	{"[admin]", 0.5, true, ""}, {"[developer]", 0.5, true, ""}, {"[end of document]", 0.6, false, ""}, {"[end of input]", 0.6, false, ""},
	{"[end of user", 0.65, false, ""}, {"<system>", 0.7, false, ""}, {"</system>", 0.75, false, ""}, {"<system_prompt>", 0.75, false, ""},
	{"</system_prompt>", 0.8, false, ""}, {"<assistant>", 0.65, false, ""}, {"</assistant>", 0.65, false, ""}, {"</user_input>", 0.75, false, ""},
	{"</user>", 0.5, false, ""}, {"</user_query>", 0.75, false, ""}, {"</context>", 0.5, false, ""}, {"</document>", 0.5, false, ""},
	{"</documents>", 0.5, false, ""}, {"</instructions>", 0.65, false, ""}, {"<system-reminder>", 0.8, false, ""}, {"<instructions>", 0.45, false, ""},
	{"<important>", 0.45, false, ""}, {"<admin>", 0.5, false, ""}, {"</untrusted", 0.75, false, ""}, {"<developer>", 0.55, false, ""},
	{"--- end of", 0.45, true, ""}, {"---end", 0.4, true, ""}, {"=== end", 0.5, true, ""}, {"=====end", 0.5, true, ""}, {"=== system", 0.6, true, ""},
	{"--- system", 0.55, true, ""}, {"\"role\": \"system\"", 0.55, false, ""}, {"\"role\":\"system\"", 0.55, false, ""}, {"begin system", 0.5, true, ""},
	{"--- new instruction", 0.7, true, ""}, {"\"\"\" system", 0.6, false, ""}, {"end user input", 0.5, true, ""},
	{"<tool_call>", 0.75, false, tools}, {"<tool_response>", 0.7, false, tools}, {"<function_call", 0.75, false, tools}, {"<function_results", 0.75, false, tools},
	{"\"tool_calls\":", 0.6, false, tools}, {"\"function_call\":", 0.6, false, tools}, {"<invoke name=", 0.75, false, tools}, {"<tool_use>", 0.7, false, tools},
	{"action: ", 0.3, true, tools}, {"<|tool_call", 0.8, false, tools},
})

func byFirst(list []delimiter) (out [256][]delimiter) {
	for _, d := range list {
		if d.label == "" {
			d.label = "DELIMITER_SPOOFING"
		}
		out[d.text[0]] = append(out[d.text[0]], d)
	}
	return out
}

// spot is something that the writing itself says, at bytes of the plain text.
type spot struct {
	label, name string
	score       float64
	start, end  int
}

// marks are the bytes that spots looks at inside a line.
var marks = func() (set [256]bool) {
	for _, list := range delimiters {
		for _, d := range list {
			set[d.text[0]] = set[d.text[0]] || !d.line
		}
	}
	set['\n'], set['!'], set['<'] = true, true, true
	return set
}()

// spots finds the delimiters and the pictures that carry data away.
func spots(s string) []spot {
	var out []spot
	line := true // only blanks since the line began
	for i := 0; i < len(s); {
		b := s[i]
		if !line && !marks[b] {
			i++
			continue
		}
		if b == '\n' {
			line = true
			i++
			continue
		}
		next := i + 1
		if sp, ok := delimiterAt(s, i, line); ok {
			out = append(out, sp)
			next = sp.end
		} else if b == '!' && strings.HasPrefix(s[i:], "![") || b == '<' && strings.HasPrefix(s[i:], "<img") {
			if sp, ok := beacon(s, i); ok {
				out = append(out, sp)
				next = sp.end
			}
		}
		if b != ' ' && b != '\t' && b != '>' && b != '*' {
			line = false
		}
		i = next
	}
	return turns(out)
}

// turns raises the marks of speakers that are weak alone: two different ones are a made-up conversation.
func turns(list []spot) []spot {
	weak, different := -1, false
	for i, sp := range list {
		if sp.score < strongTurn && sp.label != tools {
			different = different || weak >= 0 && list[weak].end-list[weak].start != sp.end-sp.start
			weak = i
		}
	}
	for i := range list {
		if different && list[i].score < strongTurn && list[i].label != tools {
			list[i].name, list[i].score = "delimiters", strongTurn
		}
	}
	return list
}

// strongTurn is the score of a made-up conversation.
const strongTurn = 0.55

func delimiterAt(s string, i int, line bool) (spot, bool) {
	list := delimiters[s[i]]
	if len(list) == 0 || s[i] >= 'a' && s[i] <= 'z' && !line {
		return spot{}, false
	}
	for _, d := range list {
		end := i + len(d.text)
		if (!d.line || line) && strings.HasPrefix(s[i:], d.text) && !(wordByte(s[end-1]) && end < len(s) && wordByte(s[end]) && d.line) {
			return spot{d.label, "delimiter", d.score, i, i + len(d.text)}, true
		}
	}
	return spot{}, false
}

// Bounds of an image in Markdown or HTML.
const (
	maxAlt  = 200
	maxURL  = 1000
	minBlob = 40 // characters of a value in an address that may be stolen data
)

// beacon reads an image at i whose address takes data along: asking for it sends them, and nobody has to click.
func beacon(s string, i int) (spot, bool) {
	rest := s[i:min(len(s), i+maxAlt+maxURL)]
	from, shut := 0, byte(')')
	if rest[0] == '<' {
		if from, shut = strings.Index(rest[:min(len(rest), maxAlt)], "src="), '>'; from < 0 {
			return spot{}, false
		}
	} else if from = strings.Index(rest[:min(len(rest), maxAlt)], "]("); from < 0 {
		return spot{}, false
	}
	url := rest[from:]
	end := strings.IndexByte(url, shut)
	if line := strings.IndexByte(url, '\n'); end < 0 || line >= 0 && line < end {
		return spot{}, false
	}
	url = url[:end]
	if !strings.Contains(url, "//") {
		return spot{}, false
	}
	sp := spot{"DATA_EXFILTRATION", "", 0, i, i + from + end + 1}
	query := url[strings.Index(url, "//")+2:]
	if at := strings.IndexAny(query, "?#"); at >= 0 {
		query = query[at:]
	} else if at := strings.IndexByte(query, '/'); at >= 0 {
		query = query[at:]
	} else {
		return spot{}, false
	}
	switch {
	case strings.ContainsAny(query, "{[<$") || strings.Contains(query, "...") || carries(query):
		sp.name, sp.score = "image-beacon-placeholder", 0.8
	case longestRun(query) >= minBlob && query[0] == '?':
		sp.name, sp.score = "image-beacon-blob", 0.5
	default:
		return spot{}, false
	}
	return sp, true
}

// carries says whether a value in an address names what shall be put there.
func carries(query string) bool {
	for _, w := range []string{
		"=data", "=secret", "=conversation", "=history", "=summary", "=chat", "=password", "=user_data", "=userdata", "=exfil", "=stolen",
		"=prompt", "=system_prompt", "=api_key", "=encoded", "=base64", "=your", "=insert", "=the_", "=messages", "=context", "=email",
	} {
		if strings.Contains(query, w) {
			return true
		}
	}
	return false
}

func longestRun(s string) int {
	longest, n := 0, 0
	for i := range len(s) {
		if base64Byte(s[i]) || s[i] == '%' {
			n++
			longest = max(longest, n)
		} else {
			n = 0
		}
	}
	return longest
}
