package train

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// sealing is the program's part of the key. It is no secret: see the package's comment.
const sealing = "hopblame train: the answer, not to be read by chance"

// sealer returns the cipher of an exercise: AES-256-GCM, its key by HKDF-SHA256 (RFC 5869).
func sealer(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(sealing), salt, "solution", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a solution. It can be opened with the same salt, for the same exercise.
func seal(s *solution, id string, salt []byte) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if err := errors.Join(json.NewEncoder(z).Encode(s), z.Close()); err != nil {
		return nil, fmt.Errorf("seal the solution: %w", err)
	}
	c, err := sealer(salt)
	if err != nil {
		return nil, fmt.Errorf("seal the solution: %w", err)
	}
	return c.Seal(nil, nil, packed.Bytes(), []byte(id)), nil
}

// errSeal says that a sealed solution was changed, or belongs to another exercise.
var errSeal = errors.New("is damaged, or of another exercise; bring it back, or start a new exercise")

// maxSolution bounds what a sealed solution may unpack to.
const maxSolution = 256 << 20

// unseal decrypts a solution.
func unseal(sealed []byte, id string, salt []byte) (*solution, error) {
	c, err := sealer(salt)
	if err != nil {
		return nil, err
	}
	packed, err := c.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return nil, errSeal
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errSeal
	}
	s := new(solution)
	if err := json.NewDecoder(io.LimitReader(z, maxSolution)).Decode(s); err != nil {
		return nil, errSeal
	}
	return s, nil
}
