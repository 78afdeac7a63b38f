package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
	"github.com/llama-mapper/llama-mapper/services/fanout"
)

// BenchmarkBuiltin runs the six built-in detectors over 10 KB of text as a request does, beside each other, and reports
// what the slowest of them took, and what running them together adds to that.
func BenchmarkBuiltin(b *testing.B) {
	_, sources := detectors()
	p := fanout.New(fanout.Options{}, prometheus.NewRegistry())
	var calls []fanout.Call
	for _, s := range sources {
		calls = append(calls, fanout.Call{Key: "builtin:" + s.Name(), Source: s, Input: detect.Input{Content: detecttest.Prose(), Type: api.ContentText}, Local: true})
	}
	b.SetBytes(int64(len(calls[0].Input.Content)))
	var all, added []time.Duration
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		began := time.Now()
		slowest := time.Duration(0)
		for _, r := range p.Run(ctx, calls) {
			slowest = max(slowest, r.Took)
		}
		took := time.Since(began)
		cancel()
		all, added = append(all, took), append(added, took-slowest)
	}
	report := func(name string, of []time.Duration) {
		slices.Sort(of)
		b.ReportMetric(float64(of[len(of)*95/100])/1e6, name+"-p95-ms")
	}
	report("all", all)
	report("added", added)
}
