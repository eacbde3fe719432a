package outlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const suffix = ".log"

// file is one file of a log: its name and the offset of its first record.
type file struct {
	path  string
	start int64
}

func fileName(start int64) string { return fmt.Sprintf("%016x%s", start, suffix) }

// parseName returns the offset that a file's name tells, and false for a name of something else.
func parseName(name string) (int64, bool) {
	hex, ok := strings.CutSuffix(name, suffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	start, err := strconv.ParseInt(hex, 16, 64)
	return start, err == nil
}

// list returns the files of a log, oldest first. A directory that is not there is an empty log.
func list(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the log: %w", err)
	}
	var files []file
	for _, e := range entries {
		if start, ok := parseName(e.Name()); ok {
			files = append(files, file{path: filepath.Join(dir, e.Name()), start: start})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return int(min(max(a.start-b.start, -1), 1)) })
	return files, nil
}
