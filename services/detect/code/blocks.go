package code

import (
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

const maxLine = 400 // bytes of a line that are looked at

// blocks finds fenced blocks, and runs of lines that look like code.
func blocks(content string) []detect.Hit {
	var hits []detect.Hit
	var b block
	flush := func() {
		if b.lines > 0 && b.score >= 2 {
			hits = append(hits, detect.Hit{Label: isCode, Score: min(0.5+0.1*b.score, 0.9), Start: b.start, End: b.end, Rule: "code: lines with its signs" + b.guess()})
		}
		b = block{}
	}
	fence := -1
	for start := 0; start < len(content); {
		end := start + strings.IndexByte(content[start:], '\n')
		if end < start {
			end = len(content)
		}
		line := strings.TrimSpace(content[start:min(end, start+maxLine)])
		switch {
		case strings.HasPrefix(line, "```") && fence < 0:
			flush()
			fence = start
		case strings.HasPrefix(line, "```"):
			if start > fence+4 {
				hits = append(hits, detect.Hit{Label: isCode, Score: 0.9, Start: fence, End: end, Rule: "code: fenced"})
			}
			fence = -1
		case fence >= 0, line == "":
		default:
			b.line(line, start, end, flush)
		}
		start = end + 1
	}
	flush()
	return hits
}

// block is a run of lines.
type block struct {
	start, end int
	lines      int
	score      float64
	votes      [len(languages)]int
}

// line adds a line, or ends the block before it.
func (b *block) line(line string, start, end int, flush func()) {
	score := looks(line)
	if score <= 0 {
		flush()
		return
	}
	if b.lines == 0 {
		b.start = start
	}
	b.lines, b.end, b.score = b.lines+1, end, b.score+score
	for i, l := range languages {
		for _, w := range l.words {
			if strings.Contains(line, w) {
				b.votes[i]++
			}
		}
	}
}

// looks scores how much a line looks like code; 2 is enough alone.
func looks(line string) float64 {
	score := 0.0
	first, _, _ := strings.Cut(line, " ")
	last := line[len(line)-1]
	for _, w := range strongStarts {
		if w[0] == line[0] && strings.HasPrefix(line, w) {
			score += 1.2
			break
		}
	}
	switch {
	case last == ';' && strings.ContainsAny(line, "=("), last == '{' && len(line) > 1:
		score++
	case last == ';' || line == "}" || line == "};" || line == "})" || line == "});" || line == "end":
		score += 0.5
	}
	for _, w := range []string{" = ", " := ", " == ", " != ", "=>", "->", "::", "&&", "||", "();", "++", "</", "/>", "+= ", "):", "['", "[\"", "(\"", "('", "){", ") {", "f\"", "printf("} {
		if strings.Contains(line, w) {
			score += 0.6
		}
	}
	if len(first) > 1 && strings.HasSuffix(first, ")") && strings.Contains(first, "(") && !strings.Contains(first, "()") {
		score += 0.6
	}
	upper := strings.ToUpper(first)
	if (upper == "SELECT" && containsFold(line, " from ") || upper == "INSERT" && containsFold(line, " into ") || upper == "CREATE" && containsFold(line, " table ") || upper == "UPDATE" && containsFold(line, " set ")) &&
		(last == ';' || first == upper || strings.ContainsAny(line, "*=(,")) {
		score += 2
	}
	if strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "#!/") || strings.HasPrefix(line, "sudo ") {
		score += 1.5
	}
	return score
}

func containsFold(s, sub string) bool { return strings.Contains(strings.ToLower(s), sub) }

var strongStarts = []string{"func ", "def ", "class ", "import ", "#include", "package ", "public ", "private ", "static ", "const ", "let ", "var ", "function ", "return ", "if (", "for (", "while (", "else {", "} else", "switch (", "try {", "catch", "fn ", "use ", "from ", "export ", "async ", "await ", "struct ",
	"int ", "void ", "char ", "String ", "console.log", "print(", "echo ", "printf(", "fmt.", "System.out", "if err", "for i", "elif ", "<div", "<html", "<body", "<script", "<?php", "using ", "namespace ", "println!", "git ", "docker ", "kubectl ", "npm ", "pip ", "apt-get "}

// languages are guessed by words that the others do not have.
var languages = [...]struct {
	name  string
	words []string
}{
	{"go", []string{"func ", ":=", "fmt.", "err != nil", "package "}},
	{"python", []string{"def ", "import ", "self.", "print(", "elif ", "None"}},
	{"javascript", []string{"const ", "let ", "=>", "console.log", "function ", "==="}},
	{"java", []string{"public ", "System.out", "private ", "String ", "new "}},
	{"c", []string{"#include", "printf(", "int main", "->", "NULL"}},
	{"rust", []string{"fn ", "let mut", "println!", "impl ", "::"}},
	{"sql", []string{"SELECT ", " FROM ", "INSERT ", " WHERE ", "CREATE TABLE"}},
	{"shell", []string{"#!/bin", "sudo ", "echo ", "$ ", "fi"}},
	{"html", []string{"</", "<div", "<html", "href=", "class="}},
}

// guess is the language that most words speak for, if two do.
func (b *block) guess() string {
	best := 0
	for i, v := range b.votes {
		if v > b.votes[best] {
			best = i
		}
	}
	if b.votes[best] < 2 {
		return ""
	}
	return "; perhaps " + languages[best].name
}
