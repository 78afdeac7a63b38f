package web

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often handshakes look whether the files of a certificate have changed.
const lookEvery = time.Second

// certificate is a pair of PEM files that are replaced while we serve, as they are renewed.
type certificate struct {
	cert, key string
	log       *slog.Logger
	current   atomic.Pointer[tls.Certificate]

	mu      sync.Mutex // guards what is below; held by the one handshake that looks, never waited for
	looked  time.Time
	loaded  [2]stamp // the files that current was made of
	refused [2]stamp // the files that the log has been told of
}

// stamp tells one state of a file from the next; zero where there is no file.
type stamp struct{ modified, size int64 }

func loadCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log, looked: time.Now()}
	c.loaded = c.stamps()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("http.tls_cert, http.tls_key: %w", err)
	}
	c.current.Store(&pair)
	return c, nil
}

// config is TLS 1.2 or newer, and HTTP/1.1, which is what we speak.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: c.get}
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		if now := time.Now(); now.Sub(c.looked) >= lookEvery {
			c.looked = now
			c.follow()
		}
		c.mu.Unlock()
	}
	return c.current.Load(), nil
}

// follow loads the files if they have changed. A pair that cannot be used, as when only one of its files is there
// yet, leaves the old one, is tried again at the next look, and is logged once.
func (c *certificate) follow() {
	now := c.stamps() // before they are read: a change in between is seen at the next look
	if now == c.loaded {
		return
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		if now != c.refused {
			c.refused = now
			c.log.Error("the new TLS certificate cannot be used; the old one stays", "cause", err.Error())
		}
		return
	}
	c.loaded, c.refused = now, [2]stamp{}
	c.current.Store(&pair)
	c.log.Info("the TLS certificate was replaced", "not_after", pair.Leaf.NotAfter)
}

func (c *certificate) stamps() (s [2]stamp) {
	for i, path := range []string{c.cert, c.key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime().UnixNano(), info.Size()}
		}
	}
	return s
}
