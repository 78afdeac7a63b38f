// Package control lets an operator on the same machine tell a running service to change its checkpoint: one
// command and one reply, as JSON, over a Unix socket that only the service's own user can open.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const (
	maxMessage = 64 << 10         // bytes of a command or a reply
	arrival    = 5 * time.Second  // for a command to be read, or a reply to be written
	patience   = 15 * time.Minute // for a command to be carried out; a large checkpoint loads for minutes
)

// Socket is the name of the socket in a checkpoint store.
const Socket = "control.sock"

// ErrNobody says that no service listens.
var ErrNobody = errors.New("no service is running on this store")

// Command is what an operator wants.
type Command struct {
	Action  string  `json:"action"`            // status, activate, rollback or canary
	Dir     string  `json:"dir,omitempty"`     // a checkpoint to install first; absolute
	Version string  `json:"version,omitempty"` // or one that is in the store
	Percent int     `json:"percent,omitempty"` // of the requests, for canary
	Margin  float64 `json:"margin,omitempty"`  // of the gate
}

// Reply is what came of it.
type Reply struct {
	Active  string `json:"active"`
	Canary  string `json:"canary,omitempty"`
	Percent int    `json:"percent,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Listen takes the socket at path; a socket that nobody listens on any more is replaced.
func Listen(path string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
		return nil, errors.Join(fmt.Errorf("%s: another service runs on this store", path), c.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// Serve carries out commands, one after the other, until ctx ends; then it closes ln.
func Serve(ctx context.Context, ln net.Listener, do func(context.Context, Command) Reply) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // Accept then fails, which is how we learn of it
	defer stop()
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				err = c.Close()
			}
			return ignoreClosed(err)
		}
		if err != nil {
			return fmt.Errorf("control: %w", err)
		}
		_ = answer(ctx, c, do) // whoever asked has gone away
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func answer(ctx context.Context, c net.Conn, do func(context.Context, Command) Reply) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(arrival)); err != nil {
		return err
	}
	var command Command
	d := json.NewDecoder(io.LimitReader(c, maxMessage))
	d.DisallowUnknownFields()
	reply := Reply{}
	if err := d.Decode(&command); err != nil {
		reply.Error = fmt.Sprintf("not a command: %v", err)
	} else {
		limited, cancel := context.WithTimeout(ctx, patience)
		reply = do(limited, command)
		cancel()
	}
	if err := c.SetDeadline(time.Now().Add(arrival)); err != nil {
		return err
	}
	return json.NewEncoder(c).Encode(reply)
}

// Send gives a command to the service that listens at path. The error is ErrNobody, or what the service said.
func Send(ctx context.Context, path string, command Command) (Reply, error) {
	c, err := (&net.Dialer{Timeout: arrival}).DialContext(ctx, "unix", path)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrNobody, err)
	}
	defer c.Close()
	if err := errors.Join(c.SetDeadline(time.Now().Add(patience+2*arrival)), json.NewEncoder(c).Encode(command)); err != nil {
		return Reply{}, err
	}
	var reply Reply
	if err := json.NewDecoder(io.LimitReader(c, maxMessage)).Decode(&reply); err != nil {
		return Reply{}, fmt.Errorf("the service gave no reply; its log says more: %w", err)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}
