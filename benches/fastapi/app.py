"""A FastAPI app that checks access tokens by itself, as one would write it: PyJWT, and the keys of the issuer kept."""

import os

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

ISSUER = os.environ["ISSUER"]
keys = jwt.PyJWKClient(f"{ISSUER}/jwks", cache_keys=True)
bearer = HTTPBearer()
app = FastAPI()


def person(shown: HTTPAuthorizationCredentials = Depends(bearer)) -> dict:
    try:
        key = keys.get_signing_key_from_jwt(shown.credentials)
        return jwt.decode(shown.credentials, key.key, algorithms=["RS256"], audience="bench", issuer=ISSUER)
    except jwt.PyJWTError as error:
        raise HTTPException(401, str(error)) from error


@app.get("/")
def page(claims: dict = Depends(person)) -> dict:
    return {"user": claims["preferred_username"]}
