package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// Pprof serves Go's profiles on 127.0.0.1 until ctx ends; port 0 serves none and returns at once. They are never on a
// service's own port: a profile slows the process and shows its inside.
func Pprof(ctx context.Context, port int) error {
	if port == 0 {
		return nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("pprof: %w; set http.pprof_port if something else has it", err)
	}
	return servePprof(ctx, ln)
}

func servePprof(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &http.Server{
		Handler: mux, ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: maxHeader,
		ReadTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		WriteTimeout: 2 * time.Minute, // a profile of 30 seconds is the default; pprof refuses more than this
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // not Shutdown: a running profile must not hold up the stop
	defer stop()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("pprof: %w", err)
	}
	return nil
}
