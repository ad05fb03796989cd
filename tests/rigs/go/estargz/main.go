// Checks one eStargz layer by the library that the snapshotter itself uses, and against its tar as others read it.
//
// usage: estargz LAYER TOC_DIGEST. Prints what was checked as JSON; the first fault goes to stderr, with code 1.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
)

type report struct {
	Entries int   `json:"entries"`
	Files   int   `json:"files"`
	Chunks  int   `json:"chunks"`
	Bytes   int64 `json:"bytes"`
}

func main() {
	found, err := check(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}

func check(path, want string) (report, error) {
	var found report
	file, err := os.Open(path)
	if err != nil {
		return found, err
	}
	info, err := file.Stat()
	if err != nil {
		return found, err
	}
	blob := io.NewSectionReader(file, 0, info.Size())
	layer, err := estargz.Open(blob)
	if err != nil {
		return found, fmt.Errorf("open: %w", err)
	}
	verifiers, err := layer.VerifyTOC(digest.Digest(want))
	if err != nil {
		return found, fmt.Errorf("TOC: %w", err)
	}
	archive, err := entries(blob)
	if err != nil {
		return found, err
	}
	listed := 0
	if err := count(layer, "", &listed); err != nil {
		return found, err
	}
	for _, each := range archive {
		found.Entries++
		entry, ok := layer.Lookup(each.header.Name)
		if !ok {
			return found, fmt.Errorf("%s is not in the TOC", each.header.Name)
		}
		if err := same(each.header, entry); err != nil {
			return found, fmt.Errorf("%s: %w", each.header.Name, err)
		}
		if each.header.Typeflag != tar.TypeReg {
			continue
		}
		found.Files++
		chunks, err := read(blob, layer, verifiers, each)
		if err != nil {
			return found, fmt.Errorf("%s: %w", each.header.Name, err)
		}
		found.Chunks += chunks
		found.Bytes += each.header.Size
	}
	// Parents that no entry states are made up by the library.
	if listed < found.Entries {
		return found, fmt.Errorf("the TOC lists %d entries, the tar %d", listed, found.Entries)
	}
	return found, nil
}

type entry struct {
	header *tar.Header
	sum    string
}

// The entries as anybody sees them who reads the layer as one gzip stream; the TOC has to be the last.
func entries(blob *io.SectionReader) ([]entry, error) {
	plain, err := gzip.NewReader(bufio.NewReaderSize(io.NewSectionReader(blob, 0, blob.Size()), 1<<20))
	if err != nil {
		return nil, err
	}
	var found []entry
	last := ""
	reader := tar.NewReader(plain)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("tar: %w", err)
		}
		if last == estargz.TOCTarName {
			return nil, fmt.Errorf("%s comes after the TOC", header.Name)
		}
		last = header.Name
		state := sha256.New()
		if _, err := io.Copy(state, reader); err != nil {
			return nil, fmt.Errorf("tar: %w", err)
		}
		if last != estargz.TOCTarName {
			found = append(found, entry{header, fmt.Sprintf("sha256:%x", state.Sum(nil))})
		}
	}
	if last != estargz.TOCTarName {
		return nil, fmt.Errorf("the last entry is %s", last)
	}
	_, err = io.Copy(io.Discard, plain)
	return found, err
}

func count(layer *estargz.Reader, path string, listed *int) error {
	folder, ok := layer.Lookup(path)
	if !ok {
		return fmt.Errorf("no folder %q", path)
	}
	var err error
	folder.ForeachChild(func(name string, child *estargz.TOCEntry) bool {
		*listed++
		if child.Type == "dir" {
			err = count(layer, strings.TrimPrefix(path+"/"+name, "/"), listed)
		}
		return err == nil
	})
	return err
}

func same(header *tar.Header, entry *estargz.TOCEntry) error {
	kind := map[byte]string{tar.TypeReg: "reg", tar.TypeDir: "dir"}[header.Typeflag]
	if entry.Type != kind || entry.Size != header.Size || entry.Mode != header.Mode {
		return fmt.Errorf("the TOC says %s %d %o, the tar %s %d %o",
			entry.Type, entry.Size, entry.Mode, kind, header.Size, header.Mode)
	}
	if entry.UID != header.Uid || entry.GID != header.Gid || !entry.ModTime().Equal(header.ModTime) {
		return fmt.Errorf("owner or time differ: %v, %v", entry.ModTime(), header.ModTime)
	}
	return nil
}

// Every chunk with one read (smaller ones inflate it from its beginning each time), and its gzip member by itself.
func read(blob *io.SectionReader, layer *estargz.Reader, verifiers estargz.TOCEntryVerifier, each entry) (int, error) {
	name, size := each.header.Name, each.header.Size
	if size == 0 {
		return 0, nil
	}
	file, err := layer.OpenFile(name)
	if err != nil {
		return 0, err
	}
	whole := sha256.New()
	chunks := 0
	for at := int64(0); at < size; {
		chunk, ok := layer.ChunkEntryForOffset(name, at)
		if !ok || chunk.ChunkOffset != at {
			return 0, fmt.Errorf("no chunk begins at %d", at)
		}
		data := make([]byte, chunk.ChunkSize)
		if _, err := file.ReadAt(data, at); err != nil && err != io.EOF {
			return 0, fmt.Errorf("chunk at %d: %w", at, err)
		}
		verifier, err := verifiers.Verifier(chunk)
		if err != nil {
			return 0, err
		}
		verifier.Write(data)
		if !verifier.Verified() {
			return 0, fmt.Errorf("chunk at %d has another digest", at)
		}
		alone, err := member(blob, chunk.Offset, chunk.NextOffset())
		if err != nil {
			return 0, fmt.Errorf("member at %d: %w", chunk.Offset, err)
		}
		if !bytes.Equal(alone, data) {
			return 0, fmt.Errorf("chunk at %d is not the member at %d", at, chunk.Offset)
		}
		whole.Write(data)
		at += int64(len(data))
		chunks++
	}
	if sum := fmt.Sprintf("sha256:%x", whole.Sum(nil)); sum != each.sum {
		return 0, fmt.Errorf("has %s, and %s in the tar", sum, each.sum)
	}
	first, _ := layer.Lookup(name)
	if first.Digest != "" && first.Digest != each.sum {
		return 0, fmt.Errorf("the TOC says %s of %s", first.Digest, each.sum)
	}
	return chunks, nil
}

func member(blob *io.SectionReader, start, end int64) ([]byte, error) {
	plain, err := gzip.NewReader(bufio.NewReader(io.NewSectionReader(blob, start, end-start)))
	if err != nil {
		return nil, err
	}
	plain.Multistream(false)
	return io.ReadAll(plain)
}
