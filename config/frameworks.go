package config

import (
	"embed"
	"io/fs"
	"slices"
)

//go:embed frameworks/*.yaml
var frameworks embed.FS

//go:embed migrations/2025.09.yaml
var migration []byte

//go:embed policies/default.yaml
var policy []byte

// Frameworks is the directory of the frameworks' packs: their controls, and which labels concern which.
func Frameworks() fs.FS {
	dir, err := fs.Sub(frameworks, "frameworks")
	if err != nil {
		panic(err) // the name is fixed above
	}
	return dir
}

// Migration is migrations/2025.09.yaml: what the labels are called in the taxonomy before this one.
func Migration() []byte { return slices.Clone(migration) }

// DefaultPolicy is policies/default.yaml: what is done about content where a tenant has no policy.
func DefaultPolicy() []byte { return slices.Clone(policy) }
