package mapper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/services/redis"
	"github.com/llama-mapper/llama-mapper/services/redis/redistest"
)

// counting is a model that counts how often it is asked.
type counting struct {
	version string
	answer  Answer
	err     error
	wait    chan struct{}
	asked   atomic.Int32
}

func (m *counting) Version() string            { return m.version }
func (m *counting) Answers(_, _ string) string { return m.version }
func (m *counting) Classify(context.Context, string, string) (Answer, error) {
	m.asked.Add(1)
	if m.wait != nil {
		<-m.wait
	}
	a := m.answer
	a.Version = m.version
	return a, m.err
}

func newCache(t *testing.T, r *redis.Client) *Cache {
	t.Helper()
	c, err := NewCache(100, r, []byte("secret"), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func surely(a Answer) bool { return a.Confidence >= 0.6 }

func insult(p float64) Answer {
	return Answer{Label: "HARM.SPEECH.Insult", Confidence: p, Candidates: []api.Candidate{{Label: "HARM.SPEECH.Insult", Confidence: p}}}
}

// A sure answer is asked once for each version; an unsure one and an error are asked each time.
func TestCache(t *testing.T) {
	ctx, c := context.Background(), newCache(t, nil)
	ask := func(m *counting, finding string, want int32) {
		t.Helper()
		for range 3 {
			if a, err := c.Classify(ctx, m, "d", finding, surely); !errors.Is(err, m.err) || err == nil && a.Label != m.answer.Label {
				t.Errorf("%+v %v", a, err)
			}
		}
		if n := m.asked.Load(); n != want {
			t.Errorf("%s of %s was asked %d times, not %d", finding, m.version, n, want)
		}
	}
	one := &counting{version: "m@1", answer: insult(0.9)}
	ask(one, "rude", 1)
	ask(one, "rude too", 2)
	ask(&counting{version: "m@2", answer: insult(0.9)}, "rude", 1)
	ask(&counting{version: "m@1", answer: insult(0.5)}, "unsure", 3)
	ask(&counting{version: "m@1", err: ErrOverloaded}, "busy", 3)
}

// Replicas share answers through Redis; without it each has its own.
func TestCacheShared(t *testing.T) {
	ctx, s := context.Background(), redistest.Start(t)
	r := s.Open(prometheus.NewRegistry())
	first, second := newCache(t, r), newCache(t, r)
	m := &counting{version: "m@1", answer: insult(0.9)}
	for _, c := range []*Cache{first, second, newCache(t, r)} {
		a, err := c.Classify(ctx, m, "d", "rude canary", surely)
		if err != nil || fmt.Sprint(a) != fmt.Sprint(Answer{Label: m.answer.Label, Confidence: 0.9, Candidates: m.answer.Candidates, Version: "m@1"}) {
			t.Errorf("%+v %v", a, err)
		}
	}
	if n := m.asked.Load(); n != 1 {
		t.Errorf("three replicas asked %d times", n)
	}
	s.Kill()
	for range 2 {
		if _, err := second.Classify(ctx, m, "d", "other", surely); err != nil {
			t.Error(err)
		}
	}
	if n := m.asked.Load(); n != 2 {
		t.Errorf("without Redis %d questions, not one more", n)
	}
}

// Those who ask the same at once wait for one answer, each as long as its own time lasts.
func TestCacheTogether(t *testing.T) {
	c := newCache(t, nil)
	m := &counting{version: "m@1", answer: insult(0.9), wait: make(chan struct{})}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Classify(context.Background(), m, "d", "rude", surely); err != nil {
				t.Error(err)
			}
		})
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Classify(short, m, "d", "rude", surely); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(m.wait)
	wg.Wait()
	if n := m.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Who asks what a job asks does not wait for the job's turn.
func TestCacheBackground(t *testing.T) {
	c := newCache(t, nil)
	job := &counting{version: "m@1", answer: insult(0.9), wait: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := c.Classify(engine.Background(context.Background()), job, "d", "rude", surely)
		done <- err
	}()
	for job.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := c.Classify(ctx, &counting{version: "m@1", answer: insult(0.9)}, "d", "rude", surely); err != nil {
		t.Error(err)
	}
	close(job.wait)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
