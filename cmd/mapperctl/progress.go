package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
)

// progress shows how far a job is: as a bar that moves on a terminal, as a line now and then elsewhere.
type progress struct {
	w     io.Writer
	tty   bool
	every time.Duration
	said  time.Time
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, every: time.Second}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.tty = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if p.tty {
		p.every = 250 * time.Millisecond
	}
	return p
}

const barWidth = 30

// job shows a job.
func (p *progress) job(j api.Job) {
	text := fmt.Sprintf("%d of %d lines, %d failed, %.0f/s", j.Done, j.Lines, j.Failed, j.Rate)
	if j.ETASeconds != nil && j.FinishedAt == nil {
		text += ", " + (time.Duration(*j.ETASeconds) * time.Second).String() + " left"
	}
	if p.tty {
		full := int(j.Done * barWidth / max(1, j.Lines))
		fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), text)
	} else if j.FinishedAt != nil || time.Since(p.said) > 10*time.Second {
		p.said = time.Now()
		fmt.Fprintln(p.w, text)
	}
}

// note says something else.
func (p *progress) note(text string) {
	if p.tty {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	} else if time.Since(p.said) > 10*time.Second {
		p.said = time.Now()
		fmt.Fprintln(p.w, text)
	}
}

// end leaves the bar as it is.
func (p *progress) end() {
	if p.tty {
		fmt.Fprintln(p.w)
	}
}
