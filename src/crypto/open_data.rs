//! The platforms' open data: AES-128-CBC under the session_key, with a SHA-1 signature over the raw
//! text (platforms.md of WeChat: framework/open-ability/signature). One error for every way in
//! which a ciphertext can be wrong, so that it is no padding oracle.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sha1::{Digest, Sha1};

use super::encoding::{base64, from_base64};
use super::hash;

/// Open data that could not be read. It does not say why: bad padding and bad base64 look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the open data does not open under this session_key")]
pub struct BadOpenData;

/// Opens `encrypted_data` (base64) with the session_key and IV as the platform writes them (base64
/// of 16 bytes). A space stands for a `+` that a form decoder has eaten, which is a frequent client
/// fault.
pub fn decrypt(session_key: &str, iv: &str, encrypted_data: &str) -> Result<Vec<u8>, BadOpenData> {
    let key = sixteen(session_key)?;
    let iv = sixteen(&iv.replace(' ', "+"))?;
    let ciphertext = from_base64(&encrypted_data.replace(' ', "+")).ok_or(BadOpenData)?;
    cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into())
        .decrypt_padded_vec::<Pkcs7>(&ciphertext)
        .map_err(|_| BadOpenData)
}

/// What the platform's client does: seals `plaintext` under the session_key; `(encryptedData, iv)`.
pub fn encrypt(
    session_key: &str,
    iv: [u8; 16],
    plaintext: &[u8],
) -> Result<(String, String), BadOpenData> {
    let key = sixteen(session_key)?;
    let sealed = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into())
        .encrypt_padded_vec::<Pkcs7>(plaintext);
    Ok((base64(&sealed), base64(&iv)))
}

/// `sha1(rawData ‖ session_key)` in hexadecimal.
pub fn signature(raw_data: &str, session_key: &str) -> String {
    let digest: [u8; 20] = Sha1::new()
        .chain_update(raw_data)
        .chain_update(session_key)
        .finalize()
        .into();
    hash::to_hex(&digest)
}

fn sixteen(text: &str) -> Result<[u8; 16], BadOpenData> {
    from_base64(text)
        .and_then(|v| v.try_into().ok())
        .ok_or(BadOpenData)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector in WeChat's own documentation.
    #[test]
    fn signature_is_the_documented_one() {
        let raw = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
        assert_eq!(
            signature(raw, "HyVFkGl5F5OQWJZZaNzBBg=="),
            "75e81ceda165f4ffa64f4068af58c64b8f54b88c"
        );
    }

    #[test]
    fn round_trip_and_one_error_for_everything_else() {
        let key = "HyVFkGl5F5OQWJZZaNzBBg==";
        let (data, iv) = encrypt(key, [9; 16], br#"{"a":1}"#).unwrap();
        assert_eq!(decrypt(key, &iv, &data).unwrap(), br#"{"a":1}"#);
        assert_eq!(
            decrypt(key, &iv.replace('+', " "), &data.replace('+', " ")).unwrap(),
            br#"{"a":1}"#
        );
        assert_eq!(
            decrypt("AAAAAAAAAAAAAAAAAAAAAA==", &iv, &data),
            Err(BadOpenData)
        );
        assert_eq!(decrypt("short", &iv, &data), Err(BadOpenData));
        assert_eq!(decrypt(key, &iv, "AAAA"), Err(BadOpenData));
    }
}
