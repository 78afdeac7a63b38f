package config

import (
	"embed"
	"io/fs"
)

//go:embed frameworks/*.yaml
var frameworks embed.FS

// Frameworks is the directory of the frameworks' packs: their controls, and which labels concern which.
func Frameworks() fs.FS {
	dir, err := fs.Sub(frameworks, "frameworks")
	if err != nil {
		panic(err) // the name is fixed above
	}
	return dir
}
